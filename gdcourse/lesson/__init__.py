"""What the chapters are made with, beside the algorithms that they teach."""
