"""Steps that know antibodies: their columns, their regions, their clones."""
