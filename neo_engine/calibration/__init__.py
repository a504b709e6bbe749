"""What the data say about fills, and which settings follow: docs/calibration.md.

evidence -> hazard (fit, intervals) -> adverse, clock, offset -> propose -> text. Statistics here are binary
floats: no money is computed from them, and what is proposed is a setting, rounded and written as text.
"""
