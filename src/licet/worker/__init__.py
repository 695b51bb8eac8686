"""What runs without being asked: announcements and what an operator has decided in advance."""
