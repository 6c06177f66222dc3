"""The agent's way in: the desk's twelve operations as tools of the Model Context Protocol."""
