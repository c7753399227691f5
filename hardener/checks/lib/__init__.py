"""What checks share: rules over many objects, facts about containers, images, settings; no checks."""
