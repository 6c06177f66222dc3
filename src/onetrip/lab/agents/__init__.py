"""Who proposes source code: one interface, a scripted agent, and any chat endpoint behind it."""
