"""What the pages of the course draw and measure with; no computation of the package needs it."""
