"""Articles: FAQs and case studies, their life cycle and revisions."""
