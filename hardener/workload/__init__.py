"""What containers may do, and how far that is from what their work needs. Pure: facts in, values out."""
