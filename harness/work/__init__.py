"""What runs on a node: the bodies of attempts, their leases, and the files that they leave."""
