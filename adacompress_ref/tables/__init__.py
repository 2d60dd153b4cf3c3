"""Recorded answers, to train and to evaluate on."""
