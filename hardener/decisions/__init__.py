"""What people decided: which failing controls are waived, and what they say of those no machine can decide.

    decisions = read_decisions(waivers, attestations, today=day)   # errors name file, line and key
    decide = decider(decisions, Place(host, groups))               # pure: the day came with them
    finding = decide(control, verdict)

``apply`` is all that judging needs; the YAML that a person wrote is read by the other modules.
"""
