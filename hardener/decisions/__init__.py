"""What people decided: which failing controls are waived, and what they say of those no machine can decide.

    waivers = read_waivers(Path("waivers.yml"), today)           # errors name file, line and key
    finding = decide(control, verdict, decisions, place)         # pure: the day is passed in

``apply`` is all that judging needs; the YAML that a person wrote is read by the other modules.
"""
