(function () {
  'use strict';
  var width = 1200, letter = 6.6;
  var frames = Array.prototype.slice.call(document.querySelectorAll('g.frame'));
  var detail = document.getElementById('detail');
  var hint = detail.textContent;
  function num(g, key) { return parseFloat(g.getAttribute('data-' + key)); }
  function fit(name, w) {
    var n = Math.floor((w - 6) / letter);
    if (n < 3) { return ''; }
    return name.length <= n ? name : '\u2026' + name.slice(name.length - n + 1);
  }
  function zoom(on) {
    var x0 = num(on, 'x'), w0 = num(on, 'w'), l0 = num(on, 'l');
    frames.forEach(function (g) {
      var x = num(g, 'x'), w = num(g, 'w'), l = num(g, 'l');
      var above = l < l0 && x <= x0 + 0.01 && x + w >= x0 + w0 - 0.01;
      var below = l >= l0 && x >= x0 - 0.01 && x + w <= x0 + w0 + 0.01;
      g.style.display = above || below ? '' : 'none';
      g.classList.toggle('dim', above);
      if (!above && !below) { return; }
      var nx = above ? 0 : (x - x0) / w0 * width, nw = above ? width : w / w0 * width;
      var rect = g.querySelector('rect'), text = g.querySelector('text');
      rect.setAttribute('x', nx);
      rect.setAttribute('width', nw);
      text.setAttribute('x', nx + 3);
      text.textContent = fit(g.getAttribute('data-n'), nw);
    });
  }
  function search() {
    var word = window.prompt('Mark the functions whose name holds (a regular expression):', '');
    if (word === null) { return; }
    var re;
    try { re = new RegExp(word, 'i'); } catch (e) { detail.textContent = String(e); return; }
    var covered = [];
    frames.forEach(function (g) {
      var hit = word !== '' && re.test(g.getAttribute('data-n'));
      g.classList.toggle('found', hit);
      if (hit) { covered.push([num(g, 'x'), num(g, 'x') + num(g, 'w')]); }
    });
    covered.sort(function (a, b) { return a[0] - b[0]; });
    var sum = 0, end = 0;
    covered.forEach(function (c) { sum += Math.max(0, c[1] - Math.max(end, c[0])); end = Math.max(end, c[1]); });
    hint = word === '' ? '' : '"' + word + '": ' + (100 * sum / width).toFixed(1) + ' %';
    detail.textContent = hint;
  }
  frames.forEach(function (g) {
    g.addEventListener('click', function () { zoom(g); });
    g.addEventListener('mouseover', function () { detail.textContent = g.querySelector('title').textContent; });
    g.addEventListener('mouseout', function () { detail.textContent = hint; });
  });
  window.addEventListener('keydown', function (e) {
    if (e.key === '/' || ((e.ctrlKey || e.metaKey) && e.key === 'f')) { e.preventDefault(); search(); }
  });
})();
