"""The command `sqdet`, and what every program of the project does at its start and end."""
