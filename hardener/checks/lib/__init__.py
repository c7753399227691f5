"""Code that checks share: rules over many objects, and facts about containers, images and settings."""
