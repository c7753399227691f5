"""What a person sees in a terminal: one file a screen."""
