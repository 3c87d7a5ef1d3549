"""Side-by-side timings; never run by the tests or by the book."""
