"""What `course.py` does to chapters and to the built book, in its environment."""
