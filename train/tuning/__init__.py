"""The best value of one option, by bisection over short runs."""
