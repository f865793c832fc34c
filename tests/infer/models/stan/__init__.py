"""Tests of models written in Stan."""
