"""Our orders: tracking, order diff (desired against working) and the executors that carry it out."""
