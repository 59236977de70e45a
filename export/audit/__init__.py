"""What somebody who didn't make a bundle can see of it, before trusting its publisher."""
