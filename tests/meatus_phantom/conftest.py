from tests import one_thread  # noqa: F401  for what importing it does
