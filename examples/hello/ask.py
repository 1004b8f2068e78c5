import hello

print(hello.greet())
print("triangle numbers, from C:", hello.sums(10))
