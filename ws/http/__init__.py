"""What every HTTP request meets, whatever its route: admission, headers, who asks, bodies, problems."""
