"""When something is wrong: the decision tree of a symptom walked, and all of it in one folder."""
