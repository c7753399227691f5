#!/usr/bin/perl
# Stand in for a program of the host: what the harness answers to its arguments is printed and returned. Perl
# starts in a fifth of Python's time, and a run executes thirty of these.
use strict;

socket(my $harness, 1, 1, 0) or die "socket: $!";
connect($harness, pack("S a*", 1, "/run/standin.sock\0")) or die "connect: $!";
syswrite($harness, join("\0", $0 =~ s{.*/}{}r, @ARGV));
shutdown($harness, 1);
local $/;
my ($code, $output, $error) = split(/\0/, <$harness>, -1);
print STDOUT $output;
print STDERR $error;
exit($code);
