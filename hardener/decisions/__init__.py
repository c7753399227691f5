"""Waivers and attestations: which failing controls are accepted, and which manual controls were reviewed.

    decisions = read_decisions(waivers, attestations, today=day)   # errors name file, line and key
    decide = decider(decisions, Place(host, groups))               # pure: the day came with them
    finding = decide(control, verdict)

``apply`` is all that judging needs; the YAML that a person wrote is read by the other modules.
"""
