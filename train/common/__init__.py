"""What every room of train uses: options, errors, devices, processes, plots, tables."""
