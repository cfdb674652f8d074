# What the test itself must be able to say.
shards: 3
text: CREATE TABLE a (k INT NOT NULL, n INT NOT NULL, c1 VARCHAR(20), PRIMARY KEY (k,n))
text: INSERT INTO a VALUES («1»,«1»,«'x'»)
prepared: INSERT INTO a VALUES («2»,«2»,«NULL»)
text: INSERT INTO a VALUES («1»,«1»,«'twice'»)
text: SELECT * FROM a
prepared: SELECT c1 FROM a WHERE k = «1» ORDER BY n LIMIT «1»
  oracle: SELECT c1, DENSE_RANK() OVER (ORDER BY n) FROM a WHERE k = «1»
  window: 0 1
check:
