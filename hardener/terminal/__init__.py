"""Show results in a terminal: one module for each screen."""
