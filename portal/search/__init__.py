"""What is asked, how it is answered, and by which engine."""
