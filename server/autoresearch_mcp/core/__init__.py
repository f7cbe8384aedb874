"""Pure values and rules: no file, process, clock or network is touched here."""
