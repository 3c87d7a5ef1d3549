/** What this browser keeps for a page, by name: nothing where storage is forbidden or full. The book's other scripts use it too. */
globalThis.gdKeep = {
  read(name) {
    try { return localStorage.getItem(name); } catch { return null; }
  },

  /** What was kept as JSON, or an empty object where there is none or another text. */
  readObject(name) {
    try { return { ...JSON.parse(this.read(name)) }; } catch { return {}; }
  },

  /** Say whether it is kept now; null takes it away. */
  write(name, text) {
    try {
      if (text === null) localStorage.removeItem(name);
      else localStorage.setItem(name, text);
      // In the storage itself, and not in what stands in for it:
      return localStorage instanceof Storage && localStorage.getItem(name) === text;
    } catch {
      return false;
    }
  },
};

