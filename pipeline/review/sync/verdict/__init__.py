"""What a reviewer says about boxes, and takes back."""
