"""What costs or gains accuracy."""
