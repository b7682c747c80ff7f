{#
The primary key of a contract is created after the rows, by one sort. dbt's own macro creates it
with the table, so that every row is inserted into the index: random writes, and an index twice as
large. A table that the next build truncates (`truncate_all`, see replace_changed.sql) is not
vacuumed after inserts.
#}
{% macro postgres__create_table_as(temporary, relation, sql) %}
    {{- dbt.postgres__create_table_as(temporary, relation, sql) -}}
    {% set key = primary_key() %}
    {% if key and config.get('contract').enforced and not temporary %}
    alter table {{ relation }} add primary key ({{ key | join(', ') }});
    {% endif %}
    {% if config.get('incremental_strategy') == 'truncate_all' and not temporary %}
    alter table {{ relation }} set (autovacuum_vacuum_insert_threshold = -1);
    {% endif %}
{% endmacro %}


{# Columns of a contract's table with types and constraints, without the primary key. #}
{% macro postgres__get_table_columns_and_constraints() %}
    {% set of_columns = {} %}
    {% for name, column in model['columns'].items() %}
        {% set constraints = column.get('constraints', []) | rejectattr('type', 'equalto', 'primary_key') | list %}
        {% set one = column.copy() %}
        {% do one.update({'constraints': constraints}) %}
        {% do of_columns.update({name: one}) %}
    {% endfor %}
    {% set of_table = model['constraints'] | rejectattr('type', 'equalto', 'primary_key') | list %}
    {% set lines = adapter.render_raw_columns_constraints(raw_columns=of_columns)
        + adapter.render_raw_model_constraints(raw_constraints=of_table) %}
    ({{ lines | join(',\n    ') }})
{% endmacro %}


{# Columns of the model's primary key: a constraint of one column, or of the model for several. #}
{% macro primary_key() %}
    {% set key = [] %}
    {% for constraint in model['constraints'] if constraint['type'] == 'primary_key' %}
        {% do key.extend(constraint['columns']) %}
    {% endfor %}
    {% for name, column in model['columns'].items() %}
        {% for constraint in column.get('constraints', []) if constraint['type'] == 'primary_key' %}
            {% do key.append(name) %}
        {% endfor %}
    {% endfor %}
    {{ return(key) }}
{% endmacro %}
