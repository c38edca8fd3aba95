"""The one door to AWS services other than Lambda, for Lampyr's own calls."""
