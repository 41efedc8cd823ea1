"""A training loop that knows neither boxes nor data: steps, learning rate, EMA, run folder."""
