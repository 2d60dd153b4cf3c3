"""What operators run: pilot, durable streams, queue, labelling."""
