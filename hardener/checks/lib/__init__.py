"""What checks share: rules over many objects, facts about containers, images and settings. No check is here."""
