"""The command `sqdet`, and the frame of all the project's programs."""
