"""The ground floor: array libraries, checks of arguments, progress bars."""
