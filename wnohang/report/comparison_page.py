def write(p,d):
    p.parent.mkdir(parents=True,exist_ok=True)
    p.write_text("")
