_base_ = ['./shrec21.py']
data = 'hapt'
# there are no configs of these
entries = dict.fromkeys(('co2net', 'acr', 'cola', 'delu', 'bmn'))
