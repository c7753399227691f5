"""What tests on whole hosts share: hosts in namespaces, workloads, plays, the command line, waiting."""
