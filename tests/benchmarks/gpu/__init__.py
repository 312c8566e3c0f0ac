"""What a device does: parity, speed, memory, labelling and training, in one run and one table."""
