"""The demonstration's world: invented dams on a simulated climate, and a mailbox on loopback."""
