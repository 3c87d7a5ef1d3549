"""A Firefox as the system has it, told by WebDriver BiDi; playwright drives a build of its own."""

import json
import shutil
import subprocess
import time

import pytest
import websocket

NO_FIREFOX = (
    "The pages run in Firefox too, and there is none here: install it"
    " (on Debian: apt install firefox-esr)."
)


class Firefox:
    """One tab, and what its page asks for and breaks; `profile` is an empty folder."""

    def __init__(self, profile):
        program = shutil.which("firefox-esr") or shutil.which("firefox")
        if program is None:
            pytest.fail(NO_FIREFOX)
        self.requests, self.faults, self.sent = [], [], 0
        how = ("--headless", "--no-remote", "--remote-debugging-port=0", "--profile", profile)
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen([program, *how], **quiet)
        at, until = profile / "WebDriverBiDiServer.json", time.monotonic() + 120
        while not (at.is_file() and at.read_text("utf-8").endswith("}")):
            assert self.process.poll() is None, "Firefox has ended before it began."
            assert time.monotonic() < until, "Firefox has not begun within two minutes."
            time.sleep(0.1)
        server = json.loads(at.read_text("utf-8"))
        address = f"ws://{server['ws_host']}:{server['ws_port']}/session"
        self.socket = websocket.create_connection(address, timeout=600, suppress_origin=True)
        self.ask("session.new", capabilities={})
        events = ["network.beforeRequestSent", "log.entryAdded"]
        self.ask("session.subscribe", events=events)
        self.tab = self.ask("browsingContext.getTree")["contexts"][0]["context"]

    def ask(self, method, **given):
        """Let Firefox do something; hear until it answers, and answer with that."""
        self.sent += 1
        self.socket.send(json.dumps({"id": self.sent, "method": method, "params": given}))
        while True:
            heard = json.loads(self.socket.recv())
            if heard.get("method") == "network.beforeRequestSent":
                self.requests.append(heard["params"]["request"]["url"])
            elif heard.get("method") == "log.entryAdded":
                if heard["params"]["type"] == "javascript" and heard["params"]["level"] == "error":
                    self.faults.append(heard["params"]["text"])
            elif heard.get("id") == self.sent:
                assert heard["type"] == "success", heard
                return heard["result"]

    def goto(self, address):
        """Open a page, and wait until it has loaded."""
        self.ask("browsingContext.navigate", context=self.tab, url=address, wait="complete")

    def evaluate(self, script):
        """Give the value of an expression in the page, awaited where it is a promise."""
        expression = f"Promise.resolve({script}).then(JSON.stringify)"
        target = {"context": self.tab}
        told = self.ask("script.evaluate", expression=expression, target=target, awaitPromise=True)
        assert told["type"] == "success", told
        return json.loads(told["result"].get("value", "null"))

    def wait_for_function(self, script, timeout):
        """Wait until an expression in the page holds, for at most so many milliseconds."""
        until = time.monotonic() + timeout / 1000
        while not self.evaluate(script):
            assert time.monotonic() < until, f"It never held: {script}"
            time.sleep(0.1)

    def close(self):
        """End Firefox."""
        self.socket.close()
        self.process.terminate()
        self.process.wait(60)
