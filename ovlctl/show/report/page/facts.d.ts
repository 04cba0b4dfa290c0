// What ovlctl.show.report.facts says, for the type checker alone; it does not become part of a page.

interface Facts {
  ovlctl: string;
  kernel: string;
  made: string;
  stack: Stack | null;
  bench: { wide: string; narrow: string; text: string } | null;
  columns: Record<string, ["Uint8" | "Uint16" | "Int16" | "Uint32" | "Float64", number, number]>;
}

interface Stack {
  label: string;
  command: string;
  root: string | null;
  image: boolean;
  layers: Layer[];
  merged: Merged;
  stories: [number, string][];
  recording: Recording | null;
  noRecording: string | null;
  troubles: string[];
}

interface Merged {
  files: number;
  directories: number;
  size: number;
  added: number;
  changed: number;
  deleted: number;
}

interface Layer {
  label: string;
  role: string;
  directory: string;
  files: number;
  directories: number;
  size: number;
  adds: number;
  hides: number;
  whiteouts: number;
  wastedFiles: number;
  wasted: number;
  largest: [string, number][];
  unreadable: number;
}

interface Recording {
  label: string;
  example: boolean;
  because: string | null;
  kernel: string;
  fileSystem: string;
  layers: { label: string; directory: string }[];
  deeds: Deed[];
}

interface Deed {
  action: string;
  path: string;
  time: string;
  outcome: string;
  remarks: string[];
  command: string;
  calls: { text: string; time: string }[];
  steps: Step[];
  before: Moment[];
  after: Moment[];
}

interface Step {
  kind: string;
  path: string;
  layer: number | null;
  source: number | null;
  bytes: number;
  marks: string[];
  text: string;
}

interface Moment {
  path: string;
  merged: Sight | null;
  layers: { layer: number; path: string | null; sight: Sight | null; marks: string[] }[];
}

interface Sight {
  kind: string;
  ino: string;
  device: string;
  size: number;
  links: number;
  mode: string;
  owner: string;
  time: string;
}
