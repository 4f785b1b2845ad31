"""Who is best, as crossMoDA ranks, and how sure that is."""
