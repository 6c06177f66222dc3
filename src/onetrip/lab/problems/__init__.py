"""What a candidate is asked to do: four sources of problems behind one interface."""
